SELECT pg_sleep(1.2);
UPDATE orders SET note = '-' WHERE note IS NULL;
