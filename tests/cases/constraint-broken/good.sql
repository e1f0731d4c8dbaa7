UPDATE customers SET email = 'unknown-' || id WHERE email IS NULL;
ALTER TABLE customers ALTER COLUMN email SET NOT NULL;
