SET lock_timeout = '5s';
SET statement_timeout = '10min';
ALTER TABLE vouchers ADD CONSTRAINT vouchers_code UNIQUE (code);
