var _yt_player={};(function(g){var window=this;
var config={signatureTimestamp:20400};
function Address(text){this.text=text;this.fields={}}
Address.prototype.set=function(name,value){this.fields[name]=value};
Address.prototype.get=function(name){return this.fields[name]||null};
Address.prototype.clone=function(){return new Address(this.text)};
Address.prototype.scramble=function(){var n=this.fields.n;if(n)this.fields.n=n.split("").reverse().join("")+"Z"};
function build(text,name,s){var a=new Address(text);a.set("alr","yes");s&&a.set(name,encodeURIComponent(decodeURIComponent(s).split("").reverse().join("").slice(1)));return a}
g.build=build;
})(_yt_player);
