UPDATE orders
SET total = 100
WHERE total < 100;
