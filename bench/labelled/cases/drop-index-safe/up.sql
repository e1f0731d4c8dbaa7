SET lock_timeout = '5s';
SET statement_timeout = '10min';
DROP INDEX CONCURRENTLY order_lines_order_id_again;
