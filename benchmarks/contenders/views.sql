-- What PostGraphile serves: the tables of the read models, shown as the benchmark's queries ask for them.
CREATE SCHEMA for_postgraphile;
CREATE TYPE for_postgraphile.money AS (amount text, currency text);
CREATE VIEW for_postgraphile.customers AS
  SELECT id, name, upper(status) AS status, version::integer, created_at
  FROM daybook_read.customers WHERE status = 'active';
CREATE VIEW for_postgraphile.opportunities AS
  SELECT id, customer_id, title, upper(status) AS status, expected_close, opened_at,
    CASE WHEN amount IS NOT NULL THEN row(round(amount, 2)::text, currency)::for_postgraphile.money END AS amount
  FROM daybook_read.opportunities;
CREATE VIEW for_postgraphile.tickets AS
  SELECT id, customer_id, subject, upper(status) AS status, upper(priority) AS priority, opened_at
  FROM daybook_read.tickets;
COMMENT ON VIEW for_postgraphile.customers IS '@primaryKey id';
COMMENT ON VIEW for_postgraphile.opportunities IS
  E'@primaryKey id\n@foreignKey (customer_id) references for_postgraphile.customers (id)';
COMMENT ON VIEW for_postgraphile.tickets IS
  E'@primaryKey id\n@foreignKey (customer_id) references for_postgraphile.customers (id)';
