SET lock_timeout = '5s';
SET statement_timeout = '10min';
ALTER TABLE warehouses DROP CONSTRAINT warehouses_capacity_check1;
