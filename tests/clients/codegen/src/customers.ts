// A frontend in strict TypeScript: what it asks for is what its types have.
import { graphql } from '../generated';
import type { CustomersQuery, RenameMutation } from '../generated/graphql';

export const Customers = graphql(`
  query Customers($first: Int!, $after: String, $where: CustomerWhere) {
    customers(first: $first, after: $after, where: $where) {
      nodes {
        id
        kind
        name
        opportunities(first: 5) {
          nodes {
            amount {
              amount
              currency
            }
            expectedClose
          }
        }
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
`);

export const Rename = graphql(`
  mutation Rename($input: CustomerRenameInput!) {
    customerRename(input: $input) {
      customer {
        id
        version
      }
      position
      userErrors {
        __typename
        code
        message
        ... on VersionConflict {
          expected
          actual
        }
      }
    }
  }
`);

export const Feed = graphql(`
  subscription Feed($after: Position) {
    changes(after: $after) {
      position
      change {
        type
        data
      }
    }
  }
`);

/** A personal name can be hidden or erased: TypeScript makes us say what we show then. */
export function names({ customers }: CustomersQuery): string[] {
  return customers.nodes.map((customer) => customer.name ?? customer.id);
}

/** Amounts are text; the compiler does not let anybody add them up as numbers. */
export function amounts({ customers }: CustomersQuery): string[] {
  return customers.nodes.flatMap(({ opportunities }) =>
    opportunities.nodes.flatMap(({ amount }) => (amount ? [`${amount.amount} ${amount.currency}`] : [])),
  );
}

/** A conflict of versions has its data; every other refusal has a code and a message. Null: it may not have come through. */
export function refusals({ customerRename }: RenameMutation): string[] | null {
  if (customerRename === null) return null;
  return customerRename.userErrors.map((error) =>
    error.__typename === 'VersionConflict'
      ? `somebody else has made it version ${error.actual - error.expected} later`
      : `${error.code}: ${error.message}`,
  );
}

export function wrong({ customers }: CustomersQuery): number[] {
  // @ts-expect-error a name may be null
  return customers.nodes.map((customer) => customer.name.length);
}
