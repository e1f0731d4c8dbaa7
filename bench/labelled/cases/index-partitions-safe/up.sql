SET lock_timeout = '5s';
SET statement_timeout = '10min';
CREATE INDEX measurements_sensor ON ONLY measurements (sensor);
CREATE INDEX CONCURRENTLY measurements_2024_sensor ON measurements_2024 (sensor);
CREATE INDEX CONCURRENTLY measurements_rest_sensor ON measurements_rest (sensor);
ALTER INDEX measurements_sensor ATTACH PARTITION measurements_2024_sensor;
ALTER INDEX measurements_sensor ATTACH PARTITION measurements_rest_sensor;
