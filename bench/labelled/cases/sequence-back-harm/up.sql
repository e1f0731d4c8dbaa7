SET lock_timeout = '5s';
SET statement_timeout = '10min';
SELECT setval(pg_get_serial_sequence('products', 'id'), 1);
