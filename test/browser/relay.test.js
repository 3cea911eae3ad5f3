import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, people } from './browser.js';
import { startCluster } from './cluster.js';

let cluster;
let browser;

before(async () => {
  cluster = await startCluster();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await cluster?.stop();
});

/** Asks a gateway for the ICE servers that it tells its clients of, as the protocol says. Runs in the page. */
function servers() {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/v1/connect`, 'signalbox.v1');
    socket.onopen = () => socket.send(JSON.stringify({ id: 1, type: 'hello', app: 'demo', name: 'Ada' }));
    socket.onmessage = ({ data }) => {
      socket.close();
      const { ok, error } = JSON.parse(data);
      if (ok) resolve(ok.iceServers);
      else reject(new Error(error.message));
    };
    socket.onerror = () => reject(new Error('no answer'));
  });
}

/** Connects two ends that may use relays alone, and sends something over a data channel. Runs in the page. */
async function callByRelay(iceServers) {
  const configuration = { iceServers, iceTransportPolicy: 'relay' };
  const [one, two] = [new RTCPeerConnection(configuration), new RTCPeerConnection(configuration)];
  one.onicecandidate = ({ candidate }) => two.addIceCandidate(candidate);
  two.onicecandidate = ({ candidate }) => one.addIceCandidate(candidate);
  const channel = one.createDataChannel('test');
  const got = new Promise((resolve, reject) => {
    two.ondatachannel = (event) => {
      event.channel.onmessage = ({ data }) => resolve(data);
    };
    channel.onopen = () => channel.send('by way of the relay');
    setTimeout(() => reject(new Error(`${one.iceConnectionState}, ${one.iceGatheringState}`)), 20_000);
  });
  await one.setLocalDescription();
  await two.setRemoteDescription(one.localDescription);
  await two.setLocalDescription();
  await one.setRemoteDescription(two.localDescription);
  const text = await got;
  const stats = await one.getStats();
  const pair = [...stats.values()].find(({ type, nominated }) => type === 'candidate-pair' && nominated);
  const local = stats.get(pair.localCandidateId);
  one.close();
  two.close();
  return { text, type: local.candidateType, protocol: local.relayProtocol };
}

test('a gateway tells browsers of the relay, and they reach each other by way of it alone, over UDP and TCP', async () => {
  const all = people(browser);
  const page = await all.open('Ada', `${cluster.gateways[0].url}/call.html?room=relay&media=generated`);
  const [server] = await page.evaluate(servers);
  for (const protocol of ['udp', 'tcp']) {
    const urls = server.urls.filter((url) => url.endsWith(`?transport=${protocol}`));
    assert.equal(urls.length, 1);
    const result = await page.evaluate(callByRelay, [{ ...server, urls }]);
    assert.deepEqual(result, { text: 'by way of the relay', type: 'relay', protocol });
  }
  await all.close();
});
