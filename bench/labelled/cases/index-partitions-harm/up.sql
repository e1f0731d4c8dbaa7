SET lock_timeout = '5s';
SET statement_timeout = '10min';
CREATE INDEX measurements_sensor ON measurements (sensor);
