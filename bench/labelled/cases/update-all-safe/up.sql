SET lock_timeout = '5s';
SET statement_timeout = '10min';
UPDATE products SET vat = 19 WHERE vat IS NULL;
