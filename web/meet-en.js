// The meeting page in English.

export const en = {
  tools: 'Look and language', theme: 'Light or dark', 'own-picture': 'Your own picture', 'camera-and-microphone': 'Camera and microphone',
  settings: 'Camera, microphone and loudspeaker',
  'join-title': 'Join a meeting', 'join-hint': 'Up to six people, face to face. Nothing to install.', 'your-name': 'Your name', room: 'Room',
  'another-room': 'Another room name', 'room-hint': 'Whoever enters the same name meets you there.',
  door: 'Others wait at the door until I let them in', join: 'Join', cancel: 'Cancel', back: 'Back', again: 'Try again', wait: 'Wait for a seat',
  'another-meeting': 'Start another meeting', 'come-back': 'Join again', 'stop-waiting': 'Stop waiting', close: 'Close', yes: 'Yes',

  'media-opening': 'Opening camera and microphone…',
  'media-refused': 'Camera and microphone were not allowed. You can join without them, and allow them later in the address bar.',
  'media-missing': 'No camera and microphone were found. You can join without them: you see and hear the others.',
  'media-busy': 'Camera or microphone are in use by another program. You can join without them.',
  'media-no-camera': 'There is a microphone, and no camera. The others hear you, and see your initials.',
  'media-no-mic': 'There is a camera, and no microphone. The others see you, and do not hear you.',
  'media-insecure': 'Browsers give camera and microphone to https pages alone. You can join without them.',
  'media-failed': 'Camera and microphone could not be opened. You can join without them.',

  'no-name': 'Please say who you are: the others see your name.', 'no-room': 'Please name a room.',
  'bad-room': 'A room name has letters from A to Z, digits, and . _ ~ - only.',

  connecting: 'Connecting…', connected: 'Connected', reconnecting: 'Reconnecting…', offline: 'You are offline', 'no-answer': 'The gateway does not answer. Trying again…',
  'on-gateway': 'by way of {gateway}', 'are-back': 'You are back.', 'connection-lost': 'The connection is lost. The call goes on while you reconnect…',

  'full-title': 'This meeting is full', 'full-text': 'Every seat in {room} is taken. You can wait for one: it is yours as soon as somebody leaves.',
  'queue-title': 'Waiting for a seat', 'queue-text': 'You are number {position} of {count} in the queue. You come in by yourself.',
  'door-title': 'Somebody will let you in', 'door-text': 'A moderator of {room} has been told that you are here.',
  'locked-title': 'This meeting is locked', 'locked-text': 'A moderator has locked {room}. Ask somebody inside to open it, and try again.',
  'denied-title': 'You were not let in', 'denied-text': 'A moderator of {room} has said no.',
  'kicked-title': 'You were removed', 'kicked-text': 'A moderator has removed you from {room}.',
  'closed-title': 'The meeting is over', 'closed-text': 'A moderator has ended {room} for everybody.',
  'left-title': 'You have left', 'left-text': 'The others in {room} go on without you.',
  'replaced-title': 'You go on elsewhere', 'replaced-text': 'You have come into {room} in another window.',
  'expired-title': 'The time is over', 'expired-text': 'The time of {room} has run out.',
  'lost-title': 'The connection is lost', 'lost-text': 'Your seat in {room} could not be kept.',

  locked: 'Locked', invite: 'Invite', more: 'More', pictures: 'Pictures', alone: 'Nobody else is here yet',
  'alone-hint': 'Send the link to those you want to meet.', 'copy-link': 'Copy link', 'link-copied': 'Link copied', 'copy-by-hand': 'Copy this link:',
  'share-link': 'Share link', 'invite-text': 'Whoever opens this link meets you in the room.', link: 'Link to the room', 'join-me': 'Join me in a meeting',
  controls: 'Controls', mute: 'Mute', 'camera-off': 'Camera off', share: 'Share screen', hand: 'Raise hand', board: 'Whiteboard', chat: 'Chat',
  people: 'People', leave: 'Leave', 'no-microphone': 'There is no microphone', 'no-camera': 'There is no camera', 'cannot-share': 'This browser cannot share the screen',
  'muted-by-moderator': 'A moderator has muted you', 'camera-off-by-moderator': 'A moderator has switched your camera off',
  'you-are-muted': 'A moderator has muted you. Raise your hand to speak.', 'you-may-speak': 'A moderator lets you speak again.',
  'camera-is-off': 'A moderator has switched your camera off.', 'camera-may-be-on': 'A moderator lets you show your picture again.',

  you: 'You', 'name-you': '{name} (you)', somebody: 'Somebody', 'picture-of': 'Picture of {name}', 'screen-of': 'Screen of {name}', 'your-screen': 'Your screen',
  'show-large': 'Show {name} large', 'show-small': 'Show everybody alike', 'is-here': '{name} is here.', 'has-left': '{name} has left.', 'was-removed': '{name} was removed.',
  'hand-up': '{name} has raised a hand.', 'are-in': 'You are in {room}.', 'shares-screen': '{name} shares a screen.', 'set-up-failed': 'The picture of {name} could not be set up.',
  'at-the-door': '{name} is waiting at the door.', 'presents-now': '{name} presents.', 'you-present': 'You present.', 'share-failed': 'The screen could not be shared.',

  'note-muted': 'muted', 'note-camera-off': 'camera off', 'note-hand': 'hand raised', 'note-away': 'reconnecting', 'note-presenter': 'presents',
  'note-screen': 'shares a screen', 'quality-good': 'good connection', 'quality-fair': 'fair connection', 'quality-poor': 'poor connection',
  'quality-none': 'no connection yet',

  'people-title': 'People', 'of-seats': '{count} of {seats}', 'door-list': 'Waiting at the door', 'seat-list': 'Waiting for a seat', admit: 'Admit', deny: 'Deny',
  'admit-one': 'Admit {name}', 'deny-one': 'Deny {name}', 'admit-all': 'Admit all', 'mute-all': 'Mute all', 'unmute-all': 'Let all speak', lock: 'Lock room', unlock: 'Unlock room',
  'spotlight-on': 'Rotate spotlight', 'spotlight-off': 'End rotation', 'end-for-all': 'End for everybody', moderation: 'Moderation',
  'mute-one': 'Mute {name}', 'unmute-one': 'Let {name} speak', 'camera-off-one': 'Switch the camera of {name} off', 'camera-on-one': 'Let {name} show a picture',
  'present-one': 'Make {name} the presenter', 'end-presenting-one': '{name} presents no more', 'kick-one': 'Remove {name}',
  'end-question': 'End the meeting for everybody?', 'kick-question': 'Remove {name} from the meeting?', 'all-muted': 'Everybody else is muted.',

  'chat-title': 'Chat', 'chat-empty': 'No messages yet.', 'chat-text': 'Message', 'chat-placeholder': 'Write to everybody', send: 'Send',
  'chat-not-sent': 'Your message was not sent. {why}', 'chat-older': 'Older messages', 'chat-log': 'Messages', 'wrote': '{name}: {text}',

  'board-title': 'Whiteboard', 'board-help': 'Draw with a pointer, or with the arrow keys: space puts the pen down and up.', pen: 'Pen', marker: 'Marker', eraser: 'Eraser',
  tool: 'Tool', colour: 'Colour', width: 'Width', thin: 'Thin', middle: 'Medium', thick: 'Thick', black: 'Black', red: 'Red', amber: 'Amber', green: 'Green', blue: 'Blue',
  violet: 'Violet', undo: 'Undo my last stroke', clear: 'Clear', 'clear-question': 'Clear the whiteboard for everybody?', 'board-cleared': '{name} has cleared the whiteboard.',
  'pen-down': 'Pen down', 'pen-up': 'Pen up', 'nothing-to-undo': 'You have drawn nothing that could be undone.', 'close-board': 'Close the whiteboard',

  'settings-title': 'Settings', camera: 'Camera', microphone: 'Microphone', loudspeaker: 'Loudspeaker', level: 'Level of your microphone', none: 'None', 'this-device': 'Standard',
  'device-failed': 'This device could not be opened.', shortcuts: 'Keyboard shortcuts', 'shortcuts-on': 'Single keys are shortcuts', source: 'Picture and sound',
  'from-devices': 'Camera and microphone', generated: 'Generated picture and tone',
  'key-m': 'mute, unmute', 'key-v': 'camera off, on', 'key-s': 'share the screen', 'key-h': 'raise, lower the hand', 'key-w': 'whiteboard', 'key-c': 'chat', 'key-p': 'people',
  'key-x': 'show the next person large', 'key-q': 'this list', 'key-esc': 'close the panel', 'about-call': 'Connection', gateway: 'Gateway', 'fact-room': 'Room', 'fact-people': 'People',

  error: 'That did not work.', 'error-room_full': 'This room is full.', 'error-room_locked': 'A moderator has locked this room.', 'error-forbidden': 'You may not do that here.',
  'error-invitation': 'Your invitation is not valid, or not any more.', 'error-no-invitation': 'This gateway lets nobody in without an invitation.',
  'error-limit': 'There are too many already.', 'error-rate_limited': 'That was too much at once. Wait a moment and try again.', 'error-too_large': 'That is too long.',
  'error-unavailable': 'The cluster is busy with itself. Try again in a moment.', 'error-timeout': 'The gateway takes too long to answer. Try again in a moment.',
  'error-disconnected': 'There is no connection to the gateway at the moment.', 'error-outcome_unknown': 'The connection was lost, and nobody knows whether this has arrived.',
  'error-taken_over': 'You go on elsewhere.', 'error-peer_gone': 'This person has left.', 'error-conflict': 'Somebody else was faster.', 'error-closed': 'The meeting is over.',
  'error-not_member': 'You are not in the meeting any more.',
};
