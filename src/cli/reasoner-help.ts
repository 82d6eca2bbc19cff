/** What `microturn reasoner --help` says below the options. Keys and passwords must not stand in a command line. */
export const REASONER_DETAILS = `Environment:
  MICROTURN_REASONER_URL      base URL of an OpenAI-compatible API, such as https://api.example.com/v1
  MICROTURN_REASONER_MODEL    name of the model there
  MICROTURN_REASONER_KEY      its API key, if it wants one
  MICROTURN_BROKER_USER       user name at the broker
  MICROTURN_BROKER_PASSWORD   its password

SIGTERM drains: no new tasks, those under way are finished or handed back, then the worker leaves.

Example:
  export MICROTURN_REASONER_URL=https://api.example.com/v1 MICROTURN_REASONER_MODEL=large
  export MICROTURN_REASONER_KEY=... MICROTURN_BROKER_USER=worker MICROTURN_BROKER_PASSWORD=...
  microturn reasoner --broker mqtts://broker.example.com:8883 --ca ca.pem --health-port 9466
`;
