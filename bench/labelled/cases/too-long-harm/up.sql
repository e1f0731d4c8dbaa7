SET lock_timeout = '5s';
SET statement_timeout = '10min';
ALTER TABLE coupons ALTER COLUMN note TYPE varchar(20);
