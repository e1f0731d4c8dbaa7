ALTER TYPE state ADD VALUE 'refunded';
UPDATE orders SET state = 'refunded' WHERE id = 1;
