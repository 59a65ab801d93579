"""Reading: a GraphQL query becomes one SQL statement whose only column is the finished JSON text.

A GraphQL type says once, beside its fields, where they come from in the read models; no field has a resolver:

    @rows_of(OPPORTUNITIES, prefix="opp", order="opened_at DESC")
    @strawberry.type(description="A deal that we hope to win.")
    class Opportunity(Node):
        status: OpportunityStatus = column("status", "How far the deal has come.", filtered=True)
        title: str | None = column("title", "What people call the deal.", sort="title_key")
        amount: Money | None = part("amount", "What it is worth.", **money("{amount}"))
        customer: Customer | None = relation("customer_id", "Who would buy.", filtered=True)
        lines: list[Line] = all_of("What would be sold.", on={"opportunity_id": "id"}, order="ordinal")
        history: Connection[Entry] = connection("Its entries in the book.", on={"aggregate_id": "id"})

    @totals_of(Opportunity)
    @strawberry.type(description="What the deals of one group add up to.")
    class OpportunityGroup:
        count: int = tally("How many deals.")
        amounts: list[Money] = total("{amount}", "The sum of their amounts.", currency="{currency}")
        status: OpportunityStatus | None = column("status", "What they can be grouped by.")

    @strawberry.type
    class Query:
        opportunity: Opportunity | None = lookup(Argument("id", "id", ID, "Its id."), description="The deal.")
        opportunities: Connection[Opportunity] = connection("Deals, the newest first.")
        opportunity_groups: list[OpportunityGroup] = totals("What they add up to.")

- `sources.py` what a declaration says; `declarations.py` the functions above; `arguments.py` the arguments that follow
  from it: one with `sort` is in `orderBy`, a `filtered` field in `where`, whose input types `filters.py` makes
- `entities.py` all declarations of a schema, checked against the tables at start: a missing column is an error
- `compiler.py` (objects), `pages.py` (lists), `cursors.py`, `searches.py`, `ids.py`, `sums.py` (totals) make the SQL,
  and so does `conditions.py` of a `where`, with `comparisons.py` for single values, `wheres.py` for what needs no SQL;
  `moments.py` and `past.py` are for `asOf`, `waterfalls.py` for what became of a stock between two moments;
  `statement.py` its parameters and JSON, `selections.py` dissolves fragments and directives
- `reader.py` runs it: `Reader(lines, schema).query(...)` for queries, `.select(...)` below a mutation's payload field.
  Plans are kept by document, operation and shape of the variables. `lines.py` are the connections that it runs on
"""
