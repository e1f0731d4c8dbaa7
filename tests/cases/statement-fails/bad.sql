UPDATE orders
SET total = totl + 1;
