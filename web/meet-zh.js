// The meeting page in Chinese.

export const zh = {
  tools: '外观与语言', theme: '浅色或深色', 'own-picture': '你自己的画面', 'camera-and-microphone': '摄像头和麦克风',
  settings: '摄像头、麦克风和扬声器',
  'join-title': '加入会议', 'join-hint': '最多六人，面对面交谈，无需安装。', 'your-name': '你的名字', room: '房间',
  'another-room': '换一个房间名', 'room-hint': '输入同一个名字的人会在这里与你相见。',
  door: '其他人在门口等候，由我放行', join: '加入', cancel: '取消', back: '返回', again: '重试', wait: '等待空位',
  'another-meeting': '另开一个会议', 'come-back': '重新加入', 'stop-waiting': '不再等待', close: '关闭', yes: '是',

  'media-opening': '正在打开摄像头和麦克风…',
  'media-refused': '摄像头和麦克风未获允许。你可以不用它们加入，之后在地址栏中允许。',
  'media-missing': '没有找到摄像头和麦克风。你可以不用它们加入：你能看到并听到其他人。',
  'media-busy': '摄像头或麦克风正被其他程序使用。你可以不用它们加入。',
  'media-no-camera': '有麦克风，没有摄像头。其他人能听到你，并看到你的名字缩写。',
  'media-no-mic': '有摄像头，没有麦克风。其他人能看到你，但听不到你。',
  'media-insecure': '浏览器只允许 https 页面使用摄像头和麦克风。你可以不用它们加入。',
  'media-failed': '无法打开摄像头和麦克风。你可以不用它们加入。',

  'no-name': '请告诉大家你是谁：其他人会看到你的名字。', 'no-room': '请填写房间名。',
  'bad-room': '房间名只能包含字母 A 到 Z、数字以及 . _ ~ -。',

  connecting: '正在连接…', connected: '已连接', reconnecting: '正在重新连接…', offline: '你已离线', 'no-answer': '网关没有应答，正在重试…',
  'on-gateway': '经由 {gateway}', 'are-back': '你已恢复连接。', 'connection-lost': '连接已断开。正在重新连接，通话继续…',

  'full-title': '会议已满', 'full-text': '{room} 的座位都有人了。你可以等待：有人离开，座位就是你的。',
  'queue-title': '正在等待空位', 'queue-text': '你在队列中排第 {position} 位，共 {count} 位。轮到时会自动进入。',
  'door-title': '请等候放行', 'door-text': '{room} 的主持人已经知道你来了。',
  'locked-title': '会议已锁定', 'locked-text': '主持人锁定了 {room}。请让里面的人打开，然后重试。',
  'denied-title': '未获准进入', 'denied-text': '{room} 的主持人拒绝了你的请求。',
  'kicked-title': '你已被移出', 'kicked-text': '主持人把你移出了 {room}。',
  'closed-title': '会议已结束', 'closed-text': '主持人为所有人结束了 {room}。',
  'left-title': '你已离开', 'left-text': '{room} 里的其他人继续开会。',
  'replaced-title': '你在别处继续', 'replaced-text': '你在另一个窗口进入了 {room}。',
  'expired-title': '时间到了', 'expired-text': '{room} 的时间已经用完。',
  'lost-title': '连接已丢失', 'lost-text': '你在 {room} 的座位未能保留。',

  locked: '已锁定', invite: '邀请', more: '更多', pictures: '画面', alone: '还没有其他人',
  'alone-hint': '把链接发给你想见的人。', 'copy-link': '复制链接', 'link-copied': '链接已复制', 'copy-by-hand': '请复制此链接：',
  'share-link': '分享链接', 'invite-text': '打开此链接的人会在房间里与你相见。', link: '房间链接', 'join-me': '来和我开会',
  controls: '控制', mute: '静音', 'camera-off': '关闭摄像头', share: '共享屏幕', hand: '举手', board: '白板', chat: '聊天',
  people: '成员', leave: '离开', 'no-microphone': '没有麦克风', 'no-camera': '没有摄像头', 'cannot-share': '此浏览器不能共享屏幕',
  'muted-by-moderator': '主持人已将你静音', 'camera-off-by-moderator': '主持人已关闭你的摄像头',
  'you-are-muted': '主持人已将你静音。想发言请举手。', 'you-may-speak': '主持人允许你再次发言。',
  'camera-is-off': '主持人已关闭你的摄像头。', 'camera-may-be-on': '主持人允许你再次打开画面。',

  you: '你', 'name-you': '{name}（你）', somebody: '某人', 'picture-of': '{name} 的画面', 'screen-of': '{name} 的屏幕', 'your-screen': '你的屏幕',
  'show-large': '放大 {name}', 'show-small': '所有人同样大小', 'is-here': '{name} 来了。', 'has-left': '{name} 已离开。', 'was-removed': '{name} 已被移出。',
  'hand-up': '{name} 举手了。', 'are-in': '你已进入 {room}。', 'shares-screen': '{name} 正在共享屏幕。', 'set-up-failed': '无法建立 {name} 的画面。',
  'at-the-door': '{name} 正在门口等候。', 'presents-now': '{name} 正在主讲。', 'you-present': '由你主讲。', 'share-failed': '无法共享屏幕。',

  'note-muted': '已静音', 'note-camera-off': '摄像头已关', 'note-hand': '已举手', 'note-away': '正在重新连接', 'note-presenter': '主讲',
  'note-screen': '共享屏幕', 'quality-good': '连接良好', 'quality-fair': '连接一般', 'quality-poor': '连接较差',
  'quality-none': '尚未连接',

  'people-title': '成员', 'of-seats': '{count} / {seats}', 'door-list': '在门口等候', 'seat-list': '等待空位', admit: '放行', deny: '拒绝',
  'admit-one': '放行 {name}', 'deny-one': '拒绝 {name}', 'admit-all': '全部放行', 'mute-all': '全体静音', 'unmute-all': '允许全体发言', lock: '锁定房间', unlock: '解锁房间',
  'spotlight-on': '轮流聚焦', 'spotlight-off': '停止轮流', 'end-for-all': '为所有人结束', moderation: '主持',
  'mute-one': '将 {name} 静音', 'unmute-one': '允许 {name} 发言', 'camera-off-one': '关闭 {name} 的摄像头', 'camera-on-one': '允许 {name} 打开画面',
  'present-one': '请 {name} 主讲', 'end-presenting-one': '{name} 不再主讲', 'kick-one': '移出 {name}',
  'end-question': '为所有人结束会议？', 'kick-question': '把 {name} 移出会议？', 'all-muted': '其他人都已静音。',

  'chat-title': '聊天', 'chat-empty': '还没有消息。', 'chat-text': '消息', 'chat-placeholder': '写给所有人', send: '发送',
  'chat-not-sent': '消息没有发出。{why}', 'chat-older': '更早的消息', 'chat-log': '消息', wrote: '{name}：{text}',

  'board-title': '白板', 'board-help': '用指针绘画，或用方向键：空格键落笔和提笔。', pen: '钢笔', marker: '记号笔', eraser: '橡皮',
  tool: '工具', colour: '颜色', width: '粗细', thin: '细', middle: '中', thick: '粗', black: '黑色', red: '红色', amber: '琥珀色', green: '绿色', blue: '蓝色',
  violet: '紫色', undo: '撤销我的上一笔', clear: '清空', 'clear-question': '为所有人清空白板？', 'board-cleared': '{name} 清空了白板。',
  'pen-down': '落笔', 'pen-up': '提笔', 'nothing-to-undo': '没有可以撤销的笔画。', 'close-board': '关闭白板',

  'settings-title': '设置', camera: '摄像头', microphone: '麦克风', loudspeaker: '扬声器', level: '麦克风音量', none: '无', 'this-device': '默认',
  'device-failed': '无法打开此设备。', shortcuts: '键盘快捷键', 'shortcuts-on': '启用单键快捷键', source: '画面和声音',
  'from-devices': '摄像头和麦克风', generated: '生成的画面和声音',
  'key-m': '静音，取消静音', 'key-v': '关闭、打开摄像头', 'key-s': '共享屏幕', 'key-h': '举手，放下', 'key-w': '白板', 'key-c': '聊天', 'key-p': '成员',
  'key-x': '放大下一位', 'key-q': '此列表', 'key-esc': '关闭面板', 'about-call': '连接', gateway: '网关', 'fact-room': '房间', 'fact-people': '成员',

  error: '操作未成功。', 'error-room_full': '房间已满。', 'error-room_locked': '主持人已锁定房间。', 'error-forbidden': '你不能在这里这样做。',
  'error-invitation': '你的邀请无效或已过期。', 'error-no-invitation': '没有邀请不能进入此网关。',
  'error-limit': '数量已达上限。', 'error-rate_limited': '操作太频繁。请稍候再试。', 'error-too_large': '内容太长。',
  'error-unavailable': '集群正忙。请稍后再试。', 'error-timeout': '网关应答太慢。请稍后再试。',
  'error-disconnected': '目前没有与网关的连接。', 'error-outcome_unknown': '连接曾断开，无法知道是否送达。',
  'error-taken_over': '你在别处继续。', 'error-peer_gone': '此人已离开。', 'error-conflict': '别人抢先了一步。', 'error-closed': '会议已结束。',
  'error-not_member': '你已不在会议中。',
};
