CREATE TABLE prices (id int PRIMARY KEY, amount int);
CREATE VIEW price_list AS SELECT id, amount FROM prices;
GRANT SELECT ON price_list TO pg_monitor;
