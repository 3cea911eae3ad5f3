/**
 * Opens a device in the place of one that is gone: what the browser chooses, with what was asked of the other one.
 *
 * @param {MediaStreamTrack} track that has ended
 * @returns {Promise<MediaStreamTrack | undefined>} undefined where there are no devices
 */
export async function anotherDevice(track) {
  const { deviceId: _gone, groupId: _too, ...constraints } = track.getConstraints();
  const devices = globalThis.navigator?.mediaDevices;
  const asked = Object.keys(constraints).length > 0 ? constraints : true;
  return (await devices?.getUserMedia({ [track.kind]: asked }))?.getTracks()[0];
}
