SET lock_timeout = '5s';
SET statement_timeout = '10min';
ALTER TABLE coupons DISABLE TRIGGER coupons_logged;
UPDATE coupons SET note = note || '!' WHERE id = 1;
