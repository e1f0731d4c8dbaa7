UPDATE orders SET total = 0 WHERE total < 0;
ALTER TABLE orders ADD CONSTRAINT positive CHECK (total >= 0) NOT VALID;
