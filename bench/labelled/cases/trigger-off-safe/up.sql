SET lock_timeout = '5s';
SET statement_timeout = '10min';
ALTER TABLE vouchers DISABLE TRIGGER vouchers_logged;
UPDATE vouchers SET note = 'gift' WHERE id = 1;
ALTER TABLE vouchers ENABLE TRIGGER vouchers_logged;
