// The library in a worker, where there is no RTCPeerConnection: is the signaling part of it of use there?

onmessage = async ({ data }) => {
  try {
    const { use } = await import('the-library');
    postMessage(await use(data));
  } catch (error) {
    postMessage(`${error.name}: ${error.message}`);
  }
};
