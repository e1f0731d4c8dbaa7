SET lock_timeout = '5s';
SET statement_timeout = '10min';
-- remove sessions that are over
DELETE FROM sessions WHERE expires_at < '2025-01-01' AND revoked OR user_agent IS NULL;
