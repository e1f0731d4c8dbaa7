SET lock_timeout = '5s';
SET statement_timeout = '10min';
CREATE TABLE measurements_2027 PARTITION OF measurements FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');
