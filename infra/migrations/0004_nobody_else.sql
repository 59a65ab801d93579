-- What is in our schemas is for whom it was granted to (infra/roles.py), never for everybody who may connect.
REVOKE ALL ON SCHEMA daybook, daybook_keys, daybook_migrations, daybook_projections, daybook_read FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA daybook, daybook_keys, daybook_migrations, daybook_projections, daybook_read
    FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA daybook FROM PUBLIC;
REVOKE ALL ON FUNCTION daybook.refuse_change() FROM PUBLIC;
