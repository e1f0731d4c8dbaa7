SET lock_timeout = '5s';
SET statement_timeout = '10min';
CREATE TABLE measurements_2025 PARTITION OF measurements FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
