-- rehearsal: expect NOT EXISTS (SELECT FROM orders WHERE state IS NULL)
ALTER TABLE orders ADD COLUMN state text;
UPDATE orders SET state = 'new' WHERE id > 1;
