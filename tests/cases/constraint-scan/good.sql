ALTER TABLE orders ADD CONSTRAINT positive CHECK (total >= 0) NOT VALID;
-- and in the next migration: ALTER TABLE orders VALIDATE CONSTRAINT positive;
