SET lock_timeout = '5s';
SET statement_timeout = '10min';
DELETE FROM orders WHERE status = 'void' AND id <= 2000;
