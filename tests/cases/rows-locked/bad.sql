UPDATE orders SET note = '-' WHERE note IS NULL;
SELECT pg_sleep(1.2);
