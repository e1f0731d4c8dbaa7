CREATE OR REPLACE VIEW price_list AS SELECT id, amount, amount / 100.0 AS euros FROM prices;
