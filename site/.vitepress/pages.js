// What the site's navigation has: every page of the docs once. A test says which one is missing.

/** @typedef {{ text: string, pages: string[] }} Group Pages are files of the repository; with a star at the end, all that begin so. */

/** @type {Group[]} */
export const GROUPS = [
  {
    text: 'Start',
    pages: [
      'README.md', 'docs/quick-start.md', 'docs/quickstart-sdk.md', 'docs/newcomer.md', 'docs/concepts.md', 'docs/architecture.md', 'CHANGELOG.md',
      'CONTRIBUTING.md',
    ],
  },
  {
    text: 'Guides',
    pages: [
      'sdk/js/README.md', 'docs/sdk.md', 'docs/classic.md', 'docs/meeting*', 'docs/platform-walkthrough.md', 'docs/webhooks.md', 'docs/ice.md', 'docs/negotiation.md',
      'docs/quotas.md', 'helm/signalbox/README.md', 'deploy/k8s/README.md',
    ],
  },
  {
    text: 'Reference',
    pages: [
      'docs/protocol.md', 'docs/protocol-reference.md', 'docs/api.md', 'docs/api-reference.md', 'docs/configuration.md', 'docs/signalctl.md', 'docs/socketio.md',
      'docs/relay.md', 'docs/metrics.md',
    ],
  },
  {
    text: 'Operations',
    pages: ['docs/operations.md', 'docs/console*', 'docs/first-five-minutes.md', 'docs/dashboards.md', 'docs/capacity.md', 'docs/runbooks/*'],
  },
  { text: 'Security', pages: ['docs/security.md'] },
  {
    text: 'Proof',
    pages: [
      'docs/claims.md', 'docs/guarantees.md', 'docs/simulation.md', 'docs/benchmarks.md', 'docs/comparison.md', 'docs/sdk-comparison.md', 'docs/alternatives.md',
      'docs/instrumentation.md', 'loadtest/README.md', 'docs/adr/*',
    ],
  },
];
