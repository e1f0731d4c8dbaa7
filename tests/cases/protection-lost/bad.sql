ALTER TABLE coupons DISABLE TRIGGER coupons_logged;
UPDATE coupons SET note = 'trade fair';
