SET lock_timeout = '5s';
SET statement_timeout = '10min';
UPDATE customers SET country = 'AT' WHERE id = 17;
