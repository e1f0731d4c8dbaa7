BEGIN;
UPDATE orders SET total = 0;
