DROP TABLE drafts;  -- it holds no row
