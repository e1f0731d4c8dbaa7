SET lock_timeout = '5s';
SET statement_timeout = '10min';
ALTER TABLE vouchers RENAME TO gift_cards;
CREATE VIEW vouchers AS SELECT * FROM gift_cards;
