SET lock_timeout = '5s';
SET statement_timeout = '10min';
ALTER TABLE vouchers ALTER COLUMN note TYPE varchar(20);
