// The lists and cards of a frontend, as Relay's compiler reads them.
import { graphql } from 'relay-runtime';

export const page = graphql`
  query customersPageQuery($first: Int!) {
    ...customersList @arguments(first: $first)
  }
`;

export const list = graphql`
  fragment customersList on Query
  @argumentDefinitions(first: { type: "Int!" }, after: { type: "String" })
  @refetchable(queryName: "customersListPaginationQuery") {
    customers(first: $first, after: $after, orderBy: [{ field: NAME }]) @connection(key: "customersList_customers") {
      edges {
        node {
          id
          ...customersCard
        }
      }
    }
  }
`;

export const card = graphql`
  fragment customersCard on Customer @refetchable(queryName: "customersCardRefetchQuery") {
    name
    version
    opportunities(first: 2) {
      nodes {
        title
        amount { amount currency }
      }
    }
  }
`;

export const header = graphql`
  query customersHeaderQuery($id: ID!) {
    node(id: $id) {
      __typename
      ...customersHeader
    }
  }
`;

export const anyRecord = graphql`
  fragment customersHeader on Node {
    id
    ... on Customer { name }
    ... on Opportunity { title }
    ... on Ticket { number }
  }
`;

export const rename = graphql`
  mutation customersRenameMutation($input: CustomerRenameInput!) {
    customerRename(input: $input) {
      customer {
        id
        name
        version
      }
      userErrors { code message path }
    }
  }
`;
