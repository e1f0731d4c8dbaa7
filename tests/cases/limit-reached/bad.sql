-- with the input `time-limit: 0.01`
DO $$
BEGIN
  WHILE EXISTS (SELECT FROM orders WHERE total < 100) LOOP
    UPDATE orders SET total = total + 1 WHERE id = 1;
  END LOOP;
END
$$;
