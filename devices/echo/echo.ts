export { CancelledMicrophone } from "./cancelled-microphone.ts";
export { echoFault, measureEcho } from "./echo-probe.ts";
export { ReferenceTrack } from "./reference-track.ts";
export { TappedSpeaker } from "./tapped-speaker.ts";
