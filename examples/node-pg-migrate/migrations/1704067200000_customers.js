export const up = (pgm) => {
  pgm.createTable("customers", {
    id: "id",
    name: { type: "text", notNull: true },
    email: { type: "text" },
  });
  pgm.sql(`INSERT INTO customers (name, email)
           SELECT 'customer ' || n, CASE WHEN n % 100 <> 0 THEN 'c' || n || '@example.org' END FROM generate_series(1, 1000) AS n`);
};
