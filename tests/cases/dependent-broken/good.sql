DROP VIEW price_list;
DROP TABLE prices;
