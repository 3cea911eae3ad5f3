// The one place that knows where the gateway serves the JavaScript client.
export * from '/sdk/index.js';
export { withSignalbox } from '/sdk/socketio.js';
