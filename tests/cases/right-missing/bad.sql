ALTER TABLE orders ADD COLUMN note text;
CREATE EVENT TRIGGER note_ddl ON ddl_command_end
  EXECUTE FUNCTION note_ddl();
