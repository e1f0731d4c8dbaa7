ALTER TYPE state ADD VALUE 'refunded';
-- and in the next migration: UPDATE orders SET state = 'refunded' WHERE id = 1;
